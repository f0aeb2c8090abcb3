-- What was decided of a lane's records from an offset on, in the lane's generation: it may never have been told.
--
-- $1 generation  $2 partition  $3 from  $4 until
SELECT count(*), count(*) FILTER (WHERE outcome = 'paid'), coalesce(sum(amount_minor) FILTER (WHERE outcome = 'paid'), 0)::text
FROM paybuf.payment WHERE log_generation = $1::int8 AND src_partition = $2::int4 AND src_offset >= $3::int8 AND src_offset < $4::int8;
