-- Asked once per connection: may this server be trusted with a COMMIT, and is it the one that was asked before?
SELECT pg_backend_pid(), pg_is_in_recovery(), current_setting('fsync'), current_setting('synchronous_commit'), current_setting('server_version_num');
