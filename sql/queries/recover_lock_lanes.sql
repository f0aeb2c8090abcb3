-- $1 topic: for the last step. Whoever claimed a lane meanwhile can't settle: the ledger is halted.
SELECT partition FROM paybuf.processed_offset WHERE topic = $1::text ORDER BY topic, partition FOR UPDATE;
