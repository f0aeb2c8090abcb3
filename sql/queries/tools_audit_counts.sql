-- Rows by lane: those whose records the log still holds, and those at or beyond P, of which there must be none.
--
-- $1 partitions  $2 generations  $3 log starts  $4 P
WITH lane AS (SELECT * FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::int8[]) AS u (partition, generation, log_start, processed)),
payments AS (
    SELECT l.partition, count(*) FILTER (WHERE p.src_offset >= l.log_start AND p.src_offset < l.processed) AS held, count(*) FILTER (WHERE p.src_offset >= l.processed) AS beyond
    FROM paybuf.payment p JOIN lane l ON l.partition = p.src_partition AND l.generation = p.log_generation
    GROUP BY l.partition
), refusals AS (
    SELECT l.partition, count(*) FILTER (WHERE r.src_offset >= l.log_start AND r.src_offset < l.processed) AS held, count(*) FILTER (WHERE r.src_offset >= l.processed) AS beyond
    FROM paybuf.refusal r JOIN lane l ON l.partition = r.src_partition AND l.generation = r.log_generation
    GROUP BY l.partition
)
SELECT l.partition, coalesce(p.held, 0), coalesce(p.beyond, 0), coalesce(r.held, 0), coalesce(r.beyond, 0)
FROM lane l LEFT JOIN payments p USING (partition) LEFT JOIN refusals r USING (partition)
ORDER BY l.partition;
