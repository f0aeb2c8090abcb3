-- $1 topic: a row of any other one, if there is one.
SELECT topic FROM paybuf.processed_offset WHERE topic <> $1::text LIMIT 1;
