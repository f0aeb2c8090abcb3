CREATE ROLE paybuf LOGIN CREATEROLE CREATEDB IN ROLE pg_monitor, pg_signal_backend, pg_checkpoint;
CREATE DATABASE paybuf OWNER paybuf;
