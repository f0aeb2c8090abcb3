SELECT version, name, sha256 FROM paybuf.schema_migration ORDER BY version;
