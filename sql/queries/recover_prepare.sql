-- What was told, each decision once and beside what is on file; and the requests of the tail that would be decided afresh.
CREATE TEMPORARY TABLE recover_event AS
SELECT t.*, p.tenant IS NOT NULL AS on_file,
    p.tenant IS NOT NULL AND (p.account_id, p.currency, p.amount_minor, p.outcome, p.reason, p.balance_after_minor, p.account_version, p.log_generation,
        p.src_partition, p.src_offset, p.decided_at) IS DISTINCT FROM (t.account_id, t.currency, t.amount_minor, t.outcome, t.reason,
        t.balance_after_minor, t.account_version, t.log_generation, t.src_partition, t.src_offset, t.decided_at) AS differs
FROM (
    SELECT DISTINCT ON (tenant, order_id, attempt) tenant, order_id, attempt, account_id, currency, amount_minor, outcome, reason, balance_after_minor,
        account_version, log_generation, src_partition, src_offset, decided_at
    FROM pg_temp.recover_told ORDER BY tenant, order_id, attempt, first_hand DESC
) t LEFT JOIN paybuf.payment p USING (tenant, order_id, attempt);
CREATE UNIQUE INDEX ON pg_temp.recover_event (tenant, order_id, attempt);
CREATE INDEX ON pg_temp.recover_event (tenant, account_id, account_version);
ANALYZE pg_temp.recover_event;
CREATE TEMPORARY TABLE recover_untold AS
WITH known AS (
    SELECT e.tenant, e.order_id, e.attempt, e.outcome FROM pg_temp.recover_event e
    UNION
    SELECT p.tenant, p.order_id, p.attempt, p.outcome FROM (SELECT DISTINCT tenant, order_id FROM pg_temp.recover_tail) t
    CROSS JOIN LATERAL (SELECT x.* FROM paybuf.payment x WHERE x.tenant = t.tenant AND x.order_id = t.order_id OFFSET 0) p
)
SELECT DISTINCT ON (tenant, order_id, attempt) t.*
FROM pg_temp.recover_tail t
WHERE NOT EXISTS (SELECT FROM known k WHERE k.tenant = t.tenant AND k.order_id = t.order_id AND (k.attempt = t.attempt OR k.attempt < t.attempt AND k.outcome = 'paid'))
    AND (t.attempt = 1 OR EXISTS (SELECT FROM known k WHERE k.tenant = t.tenant AND k.order_id = t.order_id AND k.attempt = t.attempt - 1))
ORDER BY tenant, order_id, attempt, src_partition, src_offset;
CREATE INDEX ON pg_temp.recover_untold (tenant, account_id);
ANALYZE pg_temp.recover_untold;
-- Adjustments made after the database came back: younger than everything that was told. They move behind what is re-applied.
CREATE TEMPORARY TABLE recover_later AS
SELECT tenant, account_id, adjustment_id, account_version, CASE kind WHEN 'credit' THEN amount_minor WHEN 'debit' THEN -amount_minor END AS change_minor
FROM paybuf.adjustment
WHERE created_at > (SELECT max(decided_at) FROM pg_temp.recover_event) AND account_version > 1 AND adjustment_id NOT LIKE 'recover:%';
CREATE INDEX ON pg_temp.recover_later (tenant, account_id);
ANALYZE pg_temp.recover_later;
CREATE TEMPORARY TABLE recover_account (
    tenant text COLLATE "C", account_id text COLLATE "C", batch int4, found boolean, currency text COLLATE "C", version_before int8,
    balance_minor int8, floor_minor int8, state text COLLATE "C", version int8, later_moves_by int8, PRIMARY KEY (batch, tenant, account_id));
CREATE TEMPORARY TABLE recover_filler (
    tenant text COLLATE "C", account_id text COLLATE "C", version int8, kind text COLLATE "C", amount_minor int8, note text,
    PRIMARY KEY (tenant, account_id, version));
