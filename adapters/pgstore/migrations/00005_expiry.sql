-- +goose Up

-- From expires_at on no call returns the user of a face; null means never. It is the same for
-- all faces of a user.
ALTER TABLE {schema}.faces ADD COLUMN expires_at timestamptz;

-- Those who have expired are found without a look at all others.
CREATE INDEX faces_by_expiry ON {schema}.faces (collection, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX faces_by_enrolment ON {schema}.faces (collection, enrolled_at);
