package milvusstore

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"
	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/core/vectorstore"
	"imago/ports"
	"imago/test/contract"
	"imago/test/fixture"
	"imago/test/pages"
	"imago/test/servers"
)

// The newest engine with Milvus in its name passes the contract of one caller, too, once
// what it lacks is made up for. More callers need reads of one moment.
func TestMilvusLiteContract(t *testing.T) {
	contract.VectorStore(t, liteHarness(servers.OwnMilvusLite(t)))
}

// liteHarness lets the suites at stores in collections of their own, one after the other:
// the server has one core at most.
func liteHarness(server *servers.MilvusLite) contract.StoreHarness {
	var made atomic.Int64
	open := func(tb testing.TB, cfg config.MilvusStore, space ports.Space) (ports.VectorStore, error) {
		s, err := startLite(tb, cfg, space)
		if err != nil {
			return nil, err // not a *store that is nil
		}
		return s, nil
	}
	h := harness(config.IndexExact)
	h.Parallel, h.Records = false, 100
	h.Open = func(tb testing.TB, space ports.Space) ports.VectorStore {
		cfg := settingsAt(server.Address())
		cfg.Collection = fmt.Sprintf("imago_%d", made.Add(1))
		s, err := open(tb, cfg, space)
		require.NoError(tb, err)
		return s
	}
	h.Reopen = func(tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
		closeStore(tb, s.(*store))
		return open(tb, s.(*store).driver.cfg, space)
	}
	h.Second = func(tb testing.TB, s ports.VectorStore) ports.VectorStore {
		second, err := open(tb, s.(*store).driver.cfg, s.(*store).driver.space)
		require.NoError(tb, err)
		return second
	}
	return h
}

// liteLacks is what milvus-lite cannot do that imago asks of a Milvus. Each item has a
// try that succeeds once it can: then delete the item, and what liteSDK does about it.
var liteLacks = []struct {
	name string
	try  func(t *testing.T, server *servers.MilvusLite, s *store) error
}{
	{"the description of a collection", describesCollection},
	{"a condition with two ends", takesTwoEnds},
	{"user names and passwords", refusesWrongPassword},
	{"reads of one moment", readsOneMoment},
	{"a kill of the server", survivesKill},
}

func TestMilvusLiteLacks(t *testing.T) {
	server := servers.OwnMilvusLite(t)
	cfg := settingsAt(server.Address())
	list := pages.Read(t, "adapters/milvusstore/README.md").Section(t, "## milvus-lite")
	require.Equal(t, len(liteLacks), strings.Count(list, "\n- **"))
	for i, item := range liteLacks {
		require.Contains(t, list, "\n- **"+item.name+"**")
		cfg.Collection = fmt.Sprintf("imago_lacks_%d", i)
		s, err := startLite(t, cfg, testSpace(2))
		require.NoError(t, err)
		require.ErrorIs(t, item.try(t, server, s), errLacking, "milvus-lite can do this now: %s", item.name)
	}
}

// errLacking says that the server cannot do something.
var errLacking = errors.New("lacking")

func describesCollection(t *testing.T, _ *servers.MilvusLite, s *store) error {
	found, err := outside(t, s.driver.cfg).DescribeCollection(t.Context(), s.driver.cfg.Collection)
	if err == nil && found.Schema.Description == "" {
		return errLacking
	}
	return err
}

func takesTwoEnds(t *testing.T, _ *servers.MilvusLite, s *store) error {
	_, err := outside(t, s.driver.cfg).Query(t.Context(), s.driver.cfg.Collection, nil, `"a" <= id < "b"`, []string{idField}, strong())
	var answer *serverError
	if errors.As(err, &answer) {
		return errors.Join(errLacking, err)
	}
	return err
}

func refusesWrongPassword(t *testing.T, _ *servers.MilvusLite, s *store) error {
	cfg := s.driver.cfg
	cfg.Username, cfg.Password = "root", "wrong"
	if _, err := outside(t, cfg).HasCollection(t.Context(), cfg.Collection); err == nil {
		return errLacking
	}
	return nil
}

// readsOneMoment looks for a user while the user's face is being replaced.
func readsOneMoment(t *testing.T, _ *servers.MilvusLite, s *store) error {
	const readers, replacements = 4, 1000
	enrol(t, s, []ports.Record{record("ada", "f", east)})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	errs := fixture.Together(1+readers, func(reader int) error {
		defer stop()
		for i := 0; ctx.Err() == nil && i < replacements; i++ {
			if reader == 0 {
				if err := s.Add(ctx, record("ada", fmt.Sprint(i), east), ports.Replacement(ports.Everybody())); err != nil {
					return err
				}
				continue
			}
			i = 0
			if _, err := s.Get(ctx, userKey("ada")); errors.Is(err, ports.ErrNotFound) {
				return errLacking
			}
		}
		return nil
	})
	return errors.Join(errs...)
}

// survivesKill kills the server after many have enrolled at the same time.
func survivesKill(t *testing.T, server *servers.MilvusLite, s *store) error {
	const rounds, enrolled = 6, 300
	for round := range rounds {
		var people []ports.Record
		for i := range enrolled {
			people = append(people, record(fmt.Sprintf("%d of round %d", i, round), "f", east))
		}
		enrol(t, s, people)
		server.Kill()
		require.NoError(t, server.Restart())
		var err error
		s, err = startLite(t, s.driver.cfg, s.driver.space)
		require.NoError(t, err)
		n, err := s.Count(t.Context(), users)
		require.NoError(t, err)
		if n < (round+1)*enrolled {
			return errLacking
		}
	}
	return nil
}

// liteDriver is the driver over a liteSDK.
type liteDriver struct{ *Driver }

func (d liteDriver) Open(ctx context.Context) error {
	connection, err := dial(ctx, d.cfg, d.log)
	if err != nil {
		return err
	}
	t := newRemote(d.cfg, d.space, liteSDK{connection})
	if err := t.setUp(ctx, d.space); err != nil {
		return errors.Join(ports.Classify(ctx, err), t.close())
	}
	d.serve(newBatchingTable(t))
	return nil
}

// startLite opens a store and closes it with the test.
func startLite(tb testing.TB, cfg config.MilvusStore, space ports.Space) (*store, error) {
	tb.Helper()
	d := New(cfg, space, discard())
	slowed(d)
	s := &store{vectorstore.New("milvusstore", liteDriver{d}, space), d}
	if err := s.Start(tb.Context()); err != nil {
		return nil, err
	}
	tb.Cleanup(func() { closeStore(tb, s) })
	return s, nil
}

// liteSDK makes up for what milvus-lite lacks.
type liteSDK struct{ sdk }

// descriptions are those of collections, whose names no two tests may share.
var descriptions sync.Map

func (l liteSDK) CreateCollection(ctx context.Context, schema *entity.Schema, shards int32, options ...client.CreateCollectionOption) error {
	descriptions.LoadOrStore(schema.CollectionName, schema.Description)
	return l.sdk.CreateCollection(ctx, schema, shards, options...)
}

func (l liteSDK) DescribeCollection(ctx context.Context, name string) (*entity.Collection, error) {
	found, err := l.sdk.DescribeCollection(ctx, name)
	if description, ok := descriptions.Load(name); err == nil && ok {
		found.Schema.Description = description.(string)
	}
	return found, err
}

// twoEnds is a condition with two ends, of strings or numbers.
var twoEnds = regexp.MustCompile(`("(?:[^"\\]|\\.)*"|\d+) (<=?) (\w+) (<=?) ("(?:[^"\\]|\\.)*"|\d+)`)

func (l liteSDK) Query(ctx context.Context, collection string, partitions []string, expression string, fields []string,
	options ...client.SearchQueryOptionFunc,
) (client.ResultSet, error) {
	return l.sdk.Query(ctx, collection, partitions, twoEnds.ReplaceAllString(expression, "($1 $2 $3 and $3 $4 $5)"), fields, options...)
}
