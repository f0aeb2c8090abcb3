-- $1 version  $2 name  $3 sha256
INSERT INTO paybuf.schema_migration (version, name, sha256) VALUES ($1::int4, $2::text, $3::text);
