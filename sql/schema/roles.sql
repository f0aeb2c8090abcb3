-- The three group roles, and membership in them for whoever runs `paybuf init`. Safe to repeat.
--
--   paybuf_owner    owns the schema: DDL, opening and adjusting accounts, cleaning old refusals, `paybuf recover`
--   paybuf_worker   what a worker's session may do: read, append decisions, move balances and offsets; no DELETE, no DDL,
--                   no new accounts and no adjustments, so that a stolen worker login can't make the books balance
--   paybuf_reader   SELECT only: the intake's GET, status, audit
--
-- They can't log in. Give each program a login that is a member of the one it needs:
--   CREATE ROLE worker_1 LOGIN PASSWORD '...' IN ROLE paybuf_worker;
-- Programs do SET ROLE after connecting, so that a login with more rights doesn't use them either.
-- Roles belong to the cluster, not to the database: another init may make them at the same moment.
DO $roles$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['paybuf_owner', 'paybuf_worker', 'paybuf_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    NULL;
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION USING
                        ERRCODE = 'insufficient_privilege',
                        MESSAGE = pg_catalog.format('role %s is missing and %s may not create roles', role_name, session_user),
                        HINT = pg_catalog.format('once, as an administrator: CREATE ROLE paybuf_owner NOLOGIN; CREATE ROLE paybuf_worker NOLOGIN; '
                            'CREATE ROLE paybuf_reader NOLOGIN; GRANT paybuf_owner, paybuf_worker, paybuf_reader TO %I', session_user);
            END;
        END IF;
        IF NOT pg_catalog.pg_has_role(session_user, role_name, 'USAGE') THEN
            BEGIN
                EXECUTE pg_catalog.format('GRANT %I TO %I', role_name, session_user);
            EXCEPTION
                WHEN unique_violation OR internal_error THEN
                    NULL;                       -- the same grant at the same moment ("tuple concurrently updated")
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION USING
                        ERRCODE = 'insufficient_privilege',
                        MESSAGE = pg_catalog.format('%s is no member of role %s and may not make itself one', session_user, role_name),
                        HINT = pg_catalog.format('once, as an administrator: GRANT paybuf_owner, paybuf_worker, paybuf_reader TO %I', session_user);
            END;
        END IF;
    END LOOP;
END
$roles$;
