-- proof.sql - what must hold in the tables after a storm; shares nothing with the worker. Each row of output: count|what is wrong.
-- psql variable: prefix (of the storm's accounts). The storm's list of what was accepted (NDJSON) comes in behind COPY.
SET client_min_messages = warning;
SET statement_timeout = '2min';
CREATE TEMPORARY TABLE line (text text);
COPY line FROM STDIN WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02');
CREATE TEMPORARY TABLE accepted AS
SELECT text::jsonb ->> 'order_id' AS order_id, (text::jsonb ->> 'attempt')::integer AS attempt,
    split_part(text::jsonb ->> 'position', '-', 1)::bigint AS generation, split_part(text::jsonb ->> 'position', '-', 2)::integer AS partition,
    split_part(text::jsonb ->> 'position', '-', 3)::bigint AS "offset"
FROM line;
ANALYZE accepted;

SELECT count(*), 'accepted payments have no decision, no refusal and no paid attempt before them'
FROM accepted a
WHERE NOT EXISTS (SELECT FROM paybuf.payment p WHERE p.tenant = 'default' AND p.order_id = a.order_id COLLATE "C" AND p.attempt = a.attempt)
    AND NOT EXISTS (SELECT FROM paybuf.payment p WHERE p.tenant = 'default' AND p.order_id = a.order_id COLLATE "C" AND p.attempt < a.attempt AND p.outcome = 'paid')
    AND NOT EXISTS (SELECT FROM paybuf.refusal r WHERE r.log_generation = a.generation AND r.src_partition = a.partition AND r.src_offset = a."offset");

SELECT count(*), 'orders are paid by more than one attempt'
FROM (SELECT FROM paybuf.payment WHERE outcome = 'paid' GROUP BY tenant, order_id HAVING count(*) > 1) twice;

SELECT count(*), 'records decided two payments'
FROM (SELECT FROM paybuf.payment GROUP BY log_generation, src_partition, src_offset HAVING count(*) > 1) twice;

SELECT count(*), 'balances are not their adjustments less what was paid'
FROM paybuf.account a
LEFT JOIN (SELECT tenant, account_id, sum(CASE kind WHEN 'open' THEN amount_minor WHEN 'credit' THEN amount_minor WHEN 'debit' THEN -amount_minor ELSE 0 END) AS given
    FROM paybuf.adjustment GROUP BY 1, 2) g USING (tenant, account_id)
LEFT JOIN (SELECT tenant, account_id, sum(amount_minor) AS paid FROM paybuf.payment WHERE outcome = 'paid' GROUP BY 1, 2) p USING (tenant, account_id)
WHERE a.balance_minor <> coalesce(given, 0) - coalesce(paid, 0);

SELECT count(*), 'accounts are below their floor' FROM paybuf.account WHERE balance_minor < floor_minor;

-- Versions 1..n without holes: as many different ones as the account says, none above.
SELECT count(*), 'accounts have holes or repeats in their versions'
FROM paybuf.account a
LEFT JOIN (
    SELECT tenant, account_id, count(*) AS events, count(DISTINCT account_version) AS versions, max(account_version) AS last
    FROM (SELECT tenant, account_id, account_version FROM paybuf.payment WHERE account_version IS NOT NULL
        UNION ALL SELECT tenant, account_id, account_version FROM paybuf.adjustment) e
    GROUP BY 1, 2) v USING (tenant, account_id)
WHERE (a.version, a.version, a.version) IS DISTINCT FROM (v.events, v.versions, v.last);

SELECT count(*), 'lanes are halted' FROM paybuf.processed_offset WHERE halted_reason IS NOT NULL;

SELECT count(*) FILTER (WHERE outcome = 'paid'), 'paid' FROM paybuf.payment WHERE starts_with(account_id, :'prefix');
SELECT count(*) FILTER (WHERE outcome = 'declined'), 'declined' FROM paybuf.payment WHERE starts_with(account_id, :'prefix');
