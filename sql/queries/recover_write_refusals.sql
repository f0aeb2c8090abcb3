INSERT INTO paybuf.refusal (log_generation, src_partition, src_offset, code, field, decided_at)
SELECT r.* FROM pg_temp.recover_refused r
WHERE NOT EXISTS (SELECT FROM paybuf.refusal x
    WHERE x.log_generation = r.log_generation AND x.src_partition = r.src_partition AND x.src_offset = r.src_offset)
ORDER BY r.log_generation, r.src_partition, r.src_offset;
