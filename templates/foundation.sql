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

CREATE FUNCTION refactor.remember(memory text) RETURNS void
LANGUAGE plpgsql AS {{ crate::name::BODY }}
DECLARE
  part text;
  -- What is written often is short, what is long is written seldom.
  level integer := 1;
BEGIN
  part := pg_catalog.current_setting(memory, true);
  PERFORM pg_catalog.set_config(memory, '', true);
  LOOP
    part := pg_catalog.concat(pg_catalog.current_setting(memory || '_' || level, true), part);
    IF level = 3 OR pg_catalog.octet_length(part) < (CASE level WHEN 1 THEN 8000 ELSE 500000 END) THEN
      PERFORM pg_catalog.set_config(memory || '_' || level, part, true);
      RETURN;
    END IF;
    PERFORM pg_catalog.set_config(memory || '_' || level, '', true);
    level := level + 1;
  END LOOP;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION refactor.remember(text) IS 'refactor: keeps what a put-back has replaced in this transaction';
CREATE FUNCTION refactor.remembers(memory text, token text) RETURNS boolean
LANGUAGE sql VOLATILE AS {{ crate::name::BODY }}
  -- Whether a put-back has replaced this version of a row: nobody sees it again before the end of the transaction.
  SELECT pg_catalog.strpos(pg_catalog.concat(
    pg_catalog.current_setting(memory || '_3', true), pg_catalog.current_setting(memory || '_2', true),
    pg_catalog.current_setting(memory || '_1', true), pg_catalog.current_setting(memory, true)), token) OPERATOR(pg_catalog.>) 0
{{ crate::name::BODY }};
COMMENT ON FUNCTION refactor.remembers(text, text) IS 'refactor: tells a second match of one statement from what it changed by triggers';
CREATE FUNCTION refactor.writes_through(views text[]) RETURNS boolean
LANGUAGE sql STABLE AS {{ crate::name::BODY }}
  -- Whether this transaction writes to one of these views: a trigger of a table is not told which way a row came. Locks
  -- are kept until the end of the transaction, so it tells nothing of one that writes both ways.
  SELECT EXISTS (
    SELECT FROM pg_catalog.unnest(views) AS v (name)
    JOIN pg_catalog.pg_locks AS l ON l.relation OPERATOR(pg_catalog.=) pg_catalog.to_regclass(v.name)
    WHERE l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
      AND l.mode OPERATOR(pg_catalog.=) 'RowExclusiveLock')
{{ crate::name::BODY }};
COMMENT ON FUNCTION refactor.writes_through(text[]) IS 'refactor: tells whether rows come through the new shape';
CREATE FUNCTION refactor.changed_meanwhile() RETURNS boolean
LANGUAGE plpgsql STABLE AS {{ crate::name::BODY }}
BEGIN
  RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001',
    HINT = 'The row changed while this statement waited for its lock; a view cannot look at all of it again. Retry the transaction.';
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION refactor.changed_meanwhile() IS 'refactor: ends a statement whose view of a row is over';
CREATE FUNCTION refactor.is_later(writer xid) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS {{ crate::name::BODY }}
DECLARE
  next_one bigint := pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint;
  one bigint := (next_one >> 32 << 32) + writer::text::bigint;
BEGIN
  IF one > next_one + 2147483648 THEN one := one - 4294967296; END IF;
  RETURN one > 2 AND NOT pg_catalog.pg_visible_in_snapshot(one::text::xid8, pg_catalog.pg_current_snapshot());
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION refactor.is_later(xid) IS 'refactor: tells a transaction that ours, by its snapshot, knows nothing of';
CREATE FUNCTION refactor.locked_since(locker xid) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS {{ crate::name::BODY }}
BEGIN
  -- Under a fixed snapshot new rows of others are not seen; but who brought one has locked the row that it refers to, and
  -- that leaves a mark. Several lockers share a number of another kind, which nothing tells apart: both are asked.
  BEGIN
    IF refactor.written_by_us(locker) THEN RETURN false; END IF;
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
  IF refactor.is_later(locker) THEN RETURN true; END IF;
  RETURN (SELECT coalesce(pg_catalog.bool_or(refactor.is_later(m.xid)), false) FROM pg_catalog.pg_get_multixact_members(locker) AS m);
EXCEPTION WHEN OTHERS THEN
  RETURN false;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION refactor.locked_since(xid) IS 'refactor: tells whether others may have come to a row since our snapshot';
CREATE FUNCTION refactor.fails_if(locked boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS {{ crate::name::BODY }}
BEGIN
  IF locked THEN
    RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001',
      HINT = 'Rows came or went that this transaction cannot see. Retry it.';
  END IF;
  RETURN true;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION refactor.fails_if(boolean) IS 'refactor: ends a transaction that another one has overtaken';
