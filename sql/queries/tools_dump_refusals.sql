-- Every refusal row, lane by lane: a reader of one lane's requests passes over them once.
SELECT log_generation, src_partition, src_offset, code, field, (extract(epoch FROM decided_at) * 1000000)::int8
FROM paybuf.refusal
ORDER BY src_partition, log_generation, src_offset;
