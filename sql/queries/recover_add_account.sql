-- $1 tenant  $2 account  $3 batch  $4 found  $5 currency  $6 version before  $7 balance  $8 floor  $9 state  $10 version  $11 how far later adjustments move
INSERT INTO pg_temp.recover_account
SELECT * FROM unnest($1::text[], $2::text[], $3::int4[], $4::bool[], $5::text[], $6::int8[], $7::int8[], $8::int8[], $9::text[], $10::int8[], $11::int8[]);
