CREATE FUNCTION refactor.written_by_us(writer xid) RETURNS boolean
LANGUAGE sql VOLATILE AS {{ crate::name::BODY }}
  -- Whether a row version that we can see was written by this very transaction (a subtransaction included).
  SELECT CASE
    WHEN pg_catalog.pg_current_xact_id_if_assigned() IS NULL THEN false
    WHEN writer OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id()::xid THEN true
    ELSE (
      SELECT pg_catalog.pg_xact_status(
          (CASE WHEN (t.epoch << 32) + t.low > t.ahead THEN ((t.epoch - 1) << 32) + t.low
                ELSE (t.epoch << 32) + t.low END)::text::xid8) = 'in progress'
      FROM (
        SELECT writer::text::bigint AS low,
          pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint >> 32 AS epoch,
          pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint + 1000000 AS ahead) AS t)
  END
{{ crate::name::BODY }};
COMMENT ON FUNCTION refactor.written_by_us(xid) IS 'refactor: tells a second match of one statement from a concurrent update';
