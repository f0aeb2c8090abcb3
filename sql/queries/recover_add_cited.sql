-- $1 tenant  $2 order  $3 generation  $4 partition  $5 offset  $6 position of the conflict
INSERT INTO pg_temp.recover_cited
SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::int4[], $5::int8[], $6::text[]);
