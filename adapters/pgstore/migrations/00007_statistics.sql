-- +goose Up

-- ANALYZE, which autovacuum runs, would copy hundreds of vectors into pg_statistic, where they
-- outlive the faces that are removed. No plan depends on them.
ALTER TABLE {schema}.faces ALTER COLUMN vector SET STATISTICS 0;

-- To give the column the type that it has drops what there is, and rewrites nothing
-- (ATExecAlterColumnType) but indexes on expressions: an HNSW index would take minutes.
-- +goose StatementBegin
DO $$
DECLARE
    kind text;
BEGIN
    SELECT format_type(atttypid, atttypmod) INTO kind FROM pg_attribute
    WHERE attrelid = '{schema}.faces'::regclass AND attname = 'vector'
        AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND indexprs IS NOT NULL);
    IF FOUND THEN
        EXECUTE 'ALTER TABLE {schema}.faces ALTER COLUMN vector TYPE ' || kind;
    END IF;
END $$;
-- +goose StatementEnd
