-- +goose Up

-- A client of a shared list is shown pages of its own users. Without this index a
-- page would read those of all others in between, and take the time of it.
CREATE INDEX faces_of_owner ON {schema}.faces (collection, owner, user_id, face_id);
