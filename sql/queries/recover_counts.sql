SELECT (SELECT count(*) FROM pg_temp.recover_event WHERE on_file),
    (SELECT count(*) FROM pg_temp.recover_refused r WHERE NOT EXISTS (SELECT FROM paybuf.refusal x
        WHERE x.log_generation = r.log_generation AND x.src_partition = r.src_partition AND x.src_offset = r.src_offset)),
    (SELECT to_char(max(updated_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') FROM paybuf.processed_offset);
