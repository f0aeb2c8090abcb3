-- The three roles: are they there, may this login act as them?
SELECT r.name, p.oid IS NOT NULL, p.oid IS NOT NULL AND pg_has_role(session_user, p.oid, 'MEMBER')
FROM (VALUES (1, 'paybuf_owner'), (2, 'paybuf_worker'), (3, 'paybuf_reader')) AS r (nth, name)
LEFT JOIN pg_roles p ON p.rolname = r.name
ORDER BY r.nth;
