package milvusstore

import (
	"context"
	"iter"
	"slices"

	"imago/ports"
)

// errNoExpiry refuses an expiry that there is no field for: a field cannot be added to a
// Milvus collection later.
var errNoExpiry = ports.Refuse(ports.ErrInvalid, "expiresAt cannot be kept: the Milvus collection was created by an earlier imago; "+
	"have its operator copy the gallery to a new one with imago migrate")

// Expired implements ports.StoreDriver. It asks for the rows that alone would make their user
// expired, and then about those users.
func (d *Driver) Expired(ctx context.Context, collection string, c ports.Cutoff) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if c.EnrolledAt.IsZero() && !d.table.keepsExpiry() {
			return
		}
		ids := collectionRange(collection)
		for ids.expired = c; ; {
			rows, err := d.table.read(ctx, ids, pageRows)
			if err != nil {
				yield("", err)
				return
			}
			for keys := range slices.Chunk(slices.Compact(each(rows, row.key)), maxUsersPerRead) {
				users, err := d.expiredAmong(ctx, keys, c)
				if err != nil {
					yield("", err)
					return
				}
				for _, k := range users {
					if !yield(k.UserID, nil) {
						return
					}
				}
			}
			// As with pages of a scan, only one with much room left is the last.
			if len(rows) < pageRows/2 {
				return
			}
			ids.from = rows[len(rows)-1].key().idRange().to
		}
	}
}

// expiredAmong returns those of some users who have expired.
func (d *Driver) expiredAmong(ctx context.Context, keys []key, c ports.Cutoff) (expired []key, err error) {
	rows, err := d.table.users(ctx, keys...)
	if err != nil {
		return nil, err
	}
	if half := len(keys) / 2; len(rows) >= maxRead && half > 0 {
		for _, part := range [][]key{keys[:half], keys[half:]} {
			some, err := d.expiredAmong(ctx, part, c)
			if err != nil {
				return nil, err
			}
			expired = append(expired, some...)
		}
		return expired, nil
	}
	for _, k := range keys {
		own := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.key() != k })
		if userRowsOf(own).expired(c) {
			expired = append(expired, k)
		}
	}
	return expired, nil
}

// Expire implements ports.StoreDriver. Milvus has no clock that could be asked.
func (d *Driver) Expire(ctx context.Context, user ports.UserKey, c ports.Cutoff) error {
	lock, err := d.locks.lock(ctx, key(user), d.timing.patience)
	if err != nil {
		return err
	}
	defer d.locks.unlock(lock)
	return d.write(ctx, lock.key, planExpire(c))
}
