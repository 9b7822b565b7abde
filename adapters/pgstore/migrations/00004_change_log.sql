-- +goose Up

-- The change log lets an imago prove that its copy of the faces in memory is not behind.
-- Every transaction that changes faces, by whatever program, raises the commit counter by
-- one and gives it a new token, as the last thing before it commits: the lock of the
-- counter's row, which is held until the commit is visible, makes the order of the numbers
-- that of the commits. A transaction that stays open holds no lock of the log.
CREATE TABLE {schema}.commit_counter (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    number   bigint NOT NULL,
    token    uuid   NOT NULL -- tells two histories apart that have the same number
) WITH (fillfactor = 10);    -- room for many versions of the row on its page (HOT)

-- One row a transaction; number, token and time are set when it commits.
CREATE TABLE {schema}.commits (
    xid          xid8 PRIMARY KEY,
    number       bigint,
    token        uuid,
    committed_at timestamptz
);
CREATE INDEX commits_by_number ON {schema}.commits (number);

-- The users whose faces a transaction has changed; nulls stand for all users.
CREATE TABLE {schema}.changed_users (
    xid        xid8 NOT NULL,
    collection text COLLATE "C",
    user_id    text COLLATE "C"
);
CREATE INDEX changed_users_by_xid ON {schema}.changed_users (xid);

INSERT INTO {schema}.commit_counter (number, token) VALUES (0, gen_random_uuid());
INSERT INTO {schema}.commits (xid, number, token, committed_at)
SELECT pg_current_xact_id(), number, token, clock_timestamp() FROM {schema}.commit_counter;

-- The functions run with the rights of their owner, so that whoever may change faces need
-- not have rights on the log, which could be misused.
--
-- After a restore the log may have a row of an earlier transaction with this xid. It becomes
-- this transaction's, which then has the users of both.
-- +goose StatementBegin
CREATE FUNCTION {schema}.log_changes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        INSERT INTO {schema}.changed_users SELECT DISTINCT pg_current_xact_id(), collection, user_id FROM added;
    WHEN 'DELETE' THEN
        INSERT INTO {schema}.changed_users SELECT DISTINCT pg_current_xact_id(), collection, user_id FROM removed;
    WHEN 'UPDATE' THEN
        INSERT INTO {schema}.changed_users
        SELECT pg_current_xact_id(), collection, user_id FROM removed
        UNION SELECT pg_current_xact_id(), collection, user_id FROM added;
    ELSE
        INSERT INTO {schema}.changed_users VALUES (pg_current_xact_id(), NULL, NULL);
    END CASE;
    IF FOUND THEN
        INSERT INTO {schema}.commits (xid) VALUES (pg_current_xact_id())
        ON CONFLICT (xid) DO UPDATE SET number = NULL WHERE commits.number IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION {schema}.number_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    counter {schema}.commit_counter;
BEGIN
    UPDATE {schema}.commit_counter SET number = number + 1, token = gen_random_uuid() RETURNING * INTO STRICT counter;
    UPDATE {schema}.commits SET number = counter.number, token = counter.token, committed_at = clock_timestamp()
    WHERE xid = NEW.xid;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER log_inserts AFTER INSERT ON {schema}.faces
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION {schema}.log_changes();
CREATE TRIGGER log_deletes AFTER DELETE ON {schema}.faces
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION {schema}.log_changes();
CREATE TRIGGER log_updates AFTER UPDATE ON {schema}.faces
    REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION {schema}.log_changes();
CREATE TRIGGER log_truncation AFTER TRUNCATE ON {schema}.faces FOR EACH STATEMENT EXECUTE FUNCTION {schema}.log_changes();
CREATE CONSTRAINT TRIGGER number_commit AFTER INSERT OR UPDATE ON {schema}.commits
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.number IS NULL) EXECUTE FUNCTION {schema}.number_commit();

-- They run where session_replication_role is replica, too.
ALTER TABLE {schema}.faces ENABLE ALWAYS TRIGGER log_inserts;
ALTER TABLE {schema}.faces ENABLE ALWAYS TRIGGER log_deletes;
ALTER TABLE {schema}.faces ENABLE ALWAYS TRIGGER log_updates;
ALTER TABLE {schema}.faces ENABLE ALWAYS TRIGGER log_truncation;
ALTER TABLE {schema}.commits ENABLE ALWAYS TRIGGER number_commit;
