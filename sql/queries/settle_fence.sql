-- First half of a settle: is every lane of this batch still mine, and is the ledger open? Writes the new P and returns what passed.
--
-- The row lock that the update takes blocks a claim of the same lane until this transaction ended; a claim that came first makes
-- it wait and then compares anew (EvalPlanQual): owner and epoch differ, the row isn't returned, the worker rolls back.
-- Rows are locked in partition order: the arrays are sorted, and so is the primary key, whichever of them drives the nested loop.
-- `ledger` is read without a lock: share locks of many workers would starve the one who wants to halt (seen).
-- One row always comes back, so that "halted" and "not mine" can be told apart. Its count is checked before the second half is sent.
--
-- $1 topic  $2 group  $3 cluster (null: unknown)   per lane, by partition: $4 partition  $5 owner  $6 epoch  $7 P before  $8 P after
-- $9 anchor offset  $10 anchor time  $11 anchor crc  $12 replied offset  $13 reply position
WITH server AS MATERIALIZED (
    SELECT halted, incarnation = pg_postmaster_start_time() AS mine FROM paybuf.ledger
), passed AS (
    UPDATE paybuf.processed_offset p
    SET next_offset = f.after, replied_offset = f.replied, reply_position = f.reply,
        anchor_offset = f.anchor, anchor_timestamp_ms = f.anchor_time, anchor_crc32c = f.anchor_crc,
        group_id = $2::text, cluster_id = coalesce($3::text, p.cluster_id), updated_at = now()
    FROM unnest($4::int4[], $5::bytea[], $6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::int8[], $13::int8[])
        AS f (partition, owner, epoch, before, after, anchor, anchor_time, anchor_crc, replied, reply)
    WHERE p.topic = $1::text AND p.partition = f.partition
        AND p.owner = f.owner AND p.owner_epoch = f.epoch AND p.next_offset = f.before AND p.halted_reason IS NULL
        AND (SELECT mine AND NOT halted FROM server)
    RETURNING p.partition
)
SELECT s.halted, s.mine, now(), ARRAY(SELECT partition FROM passed) FROM server s;
