-- Citus keeps its distributed tables' shards behind ordinary looking ones.
SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL;
