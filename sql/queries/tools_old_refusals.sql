-- $1 partitions, $2 the first offset that each one's log still has: refusals older than 30 days, and those of them whose request is gone.
SELECT count(*), count(*) FILTER (WHERE r.src_offset < l.start)
FROM paybuf.refusal r
LEFT JOIN unnest($1::int4[], $2::int8[]) AS l(partition, start) ON l.partition = r.src_partition
WHERE r.decided_at < now() - interval '30 days';
