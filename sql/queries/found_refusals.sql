-- Reply-only look-ups: the refusals at the records' own positions.
--
-- $1 generations  $2 partitions  $3 offsets
SELECT u.nth, r.code, r.field, r.decided_at
FROM unnest($1::int8[], $2::int4[], $3::int8[]) WITH ORDINALITY AS u (log_generation, src_partition, src_offset, nth)
CROSS JOIN LATERAL (
    SELECT x.code, x.field, x.decided_at
    FROM paybuf.refusal x
    WHERE x.log_generation = u.log_generation AND x.src_partition = u.src_partition AND x.src_offset = u.src_offset
    OFFSET 0
) r;
