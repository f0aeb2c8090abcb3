-- Why replies made from these rows may not go into the reply log now; null: they may.
SELECT CASE WHEN halted THEN 'the ledger is halted: ' || halted_reason
    WHEN incarnation IS DISTINCT FROM pg_catalog.pg_postmaster_start_time() THEN 'PostgreSQL was restarted or restored, and no worker has agreed to it yet'
END
FROM paybuf.ledger;
