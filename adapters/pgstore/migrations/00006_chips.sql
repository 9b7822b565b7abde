-- +goose Up

-- The encrypted chip of a face; null where none is kept. It is in the row of its face, so that
-- one statement stores or removes both, also through psql and cascades. Out of line, and not
-- compressed, which would gain nothing: what does not name the column does not read it, as the
-- copy in memory and searches. No statistics, which would be copies of small ones.
ALTER TABLE {schema}.faces ADD COLUMN chip bytea;
ALTER TABLE {schema}.faces ALTER COLUMN chip SET STORAGE EXTERNAL, ALTER COLUMN chip SET STATISTICS 0;
