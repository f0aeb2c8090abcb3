-- $1 tenant  $2 order  $3 attempt  $4 account  $5 currency  $6 amount  $7 generation  $8 partition  $9 offset  $10 appended at, milliseconds
INSERT INTO pg_temp.recover_tail
SELECT * FROM unnest($1::text[], $2::text[], $3::int4[], $4::text[], $5::text[], $6::int8[], $7::int8[], $8::int4[], $9::int8[], $10::int8[]);
