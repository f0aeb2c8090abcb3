-- $1 tenant  $2 account  $3 version  $4 kind  $5 amount  $6 note
INSERT INTO pg_temp.recover_filler
SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::text[], $5::int8[], $6::text[]);
