-- What the migration runner itself stands on: the schema and its own table. Safe to repeat; runs under the runner's advisory lock.
DO $bootstrap$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'paybuf') THEN
        BEGIN
            CREATE SCHEMA paybuf AUTHORIZATION paybuf_owner;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION USING
                    ERRCODE = 'insufficient_privilege',
                    MESSAGE = pg_catalog.format('%s may not create the schema paybuf in this database', session_user),
                    HINT = pg_catalog.format('once, as the owner of the database: GRANT CREATE ON DATABASE %I TO %I; or CREATE SCHEMA paybuf AUTHORIZATION paybuf_owner',
                        pg_catalog.current_database(), session_user);
        END;
    END IF;
    SET LOCAL ROLE paybuf_owner;
    CREATE TABLE IF NOT EXISTS paybuf.schema_migration (
        version integer PRIMARY KEY CHECK (version > 0),
        name text COLLATE "C" NOT NULL,
        sha256 text COLLATE "C" NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT pg_catalog.now()
    );
END
$bootstrap$;
