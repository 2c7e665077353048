CREATE FUNCTION {{ lock }}(marks boolean, was {{ made }}) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
#variable_conflict use_variable
BEGIN
  -- Nobody else may change what the rows are told from between a look and a write, and every look must be a new one.
  IF pg_catalog.current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', SCHEMA = {{ schema }}, TABLE = {{ table }}, MESSAGE = {{ isolation }};
  END IF;
{%- if !tables.is_empty() %}
  LOCK TABLE {{ tables }} IN SHARE ROW EXCLUSIVE MODE;
{%- endif %}
  IF NOT marks THEN RETURN true; END IF;
  -- A row that a statement matches twice: a table takes the first match and ignores the rest.
  INSERT INTO {{ done }} VALUES (pg_catalog.current_setting('refactor.told_depth')::integer, {{ was_key }}) ON CONFLICT DO NOTHING;
  RETURN FOUND;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ lock }}(boolean, {{ made }}) IS {{ comment }};
CREATE FUNCTION {{ statement }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
DECLARE
  depth integer := coalesce(nullif(pg_catalog.current_setting('refactor.told_depth', true), ''), '0');
BEGIN
  -- A statement may run within another, by a trigger.
  IF TG_WHEN = 'BEFORE' THEN
    PERFORM pg_catalog.set_config('refactor.told_depth', (depth + 1)::text, true);
  ELSE
    DELETE FROM {{ done }} AS d WHERE d.refactor_depth = depth;
    PERFORM pg_catalog.set_config('refactor.told_depth', (depth - 1)::text, true);
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ statement }}() IS {{ comment }};
CREATE FUNCTION {{ judge }}(said {{ made }}) RETURNS {{ made }}
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  r {{ made }};
BEGIN
  -- The table to be says what it would take. It keeps nothing.
  INSERT INTO {{ made }} ({{ columns }}) OVERRIDING SYSTEM VALUE VALUES ({{ values }}) RETURNING * INTO r;
  DELETE FROM {{ made }} AS b WHERE {{ this_row }};
  RETURN r;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ judge }}({{ made }}) IS {{ comment }};
