-- +goose Up

-- The embedding space of the faces: one row, made when the schema is first
-- opened, at which moment faces.vector gets its dimension too.
CREATE TABLE {schema}.space (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    identity text NOT NULL, -- what spaces are compared by
    name     text NOT NULL  -- for people
);

-- A user exists as long as it has faces. Its row is what makes an enrolment
-- unique, and what is locked while its faces change.
CREATE TABLE {schema}.users (
    collection text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    PRIMARY KEY (collection, user_id)
);

-- The collation "C" orders bytewise. Rows of up to 8160 bytes (1800 numbers
-- with the longest IDs) keep their vector inline: a search that has to fetch
-- vectors of 512 numbers from the side table takes three times as long.
CREATE TABLE {schema}.faces (
    collection  text COLLATE "C" NOT NULL,
    user_id     text COLLATE "C" NOT NULL,
    face_id     text COLLATE "C" NOT NULL,
    owner       text NOT NULL,
    enrolled_at timestamptz NOT NULL,
    vector      {pgvector}.vector NOT NULL,
    PRIMARY KEY (collection, user_id, face_id),
    FOREIGN KEY (collection, user_id) REFERENCES {schema}.users ON DELETE CASCADE
) WITH (toast_tuple_target = 8160);
