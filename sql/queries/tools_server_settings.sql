-- Settings of the server (not of this session's role) that the promises stand on.
SELECT name, coalesce(reset_val, setting) FROM pg_settings
WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'synchronous_standby_names', 'zero_damaged_pages', 'data_checksums')
ORDER BY name;
