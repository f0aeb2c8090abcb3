-- $1 generation  $2 partition  $3 offset  $4 code  $5 field  $6 decided at, microseconds since 1970
INSERT INTO pg_temp.recover_refused
SELECT u.generation, u.partition, u.source_offset, u.code, u.field, timestamptz 'epoch' + u.decided_at * interval '1 microsecond'
FROM unnest($1::int8[], $2::int4[], $3::int8[], $4::text[], $5::text[], $6::int8[]) AS u (generation, partition, source_offset, code, field, decided_at);
