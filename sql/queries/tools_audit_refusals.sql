-- $1 generation  $2 partition  $3 offsets: the refusals at these positions, behind nth the columns of tools_dump_refusals.sql.
SELECT u.nth, r.log_generation, r.src_partition, r.src_offset, r.code, r.field, (extract(epoch FROM r.decided_at) * 1000000)::int8
FROM unnest($3::int8[]) WITH ORDINALITY AS u (src_offset, nth)
CROSS JOIN LATERAL (
    SELECT x.* FROM paybuf.refusal x WHERE x.log_generation = $1::int8 AND x.src_partition = $2::int4 AND x.src_offset = u.src_offset OFFSET 0
) r;
