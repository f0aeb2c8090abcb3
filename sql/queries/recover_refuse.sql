-- A record is answered `invalid` because a person said so.
--
-- $1 generation  $2 partition  $3 offset  $4 code  $5 field
INSERT INTO paybuf.refusal (log_generation, src_partition, src_offset, code, field, decided_at)
VALUES ($1::int8, $2::int4, $3::int8, $4::text, $5::text, now());
