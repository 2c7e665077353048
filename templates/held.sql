CREATE FUNCTION {{ stays }}({{ types }}) RETURNS boolean LANGUAGE sql RETURN ({{ holds }})::boolean;
COMMENT ON FUNCTION {{ stays }} IS {{ comment }};
CREATE FUNCTION {{ refer }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
DECLARE
  r {{ other }};
BEGIN
  -- The row must not leave before we commit. That it is there at all is the foreign key's business.
  SELECT t.* INTO r FROM {{ other }} AS t WHERE {{ is_new }} FOR SHARE;
  IF FOUND AND {{ stays }}({{ read_r }}) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation', SCHEMA = {{ schema_literal }}, TABLE = {{ table_literal }},
      CONSTRAINT = {{ constraint }}, MESSAGE = {{ message }}, DETAIL = pg_catalog.format({{ detail }}, {{ new_values }}), HINT = {{ hint }};
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ refer }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_insert }} AFTER INSERT ON {{ table }}
  FOR EACH ROW EXECUTE FUNCTION {{ refer }}();
CREATE TRIGGER {{ trigger_update }} AFTER UPDATE ON {{ table }}
  FOR EACH ROW WHEN ({{ changed }}) EXECUTE FUNCTION {{ refer }}();
CREATE FUNCTION {{ leave }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
BEGIN
  IF {{ stays }}({{ read_new }}) IS NOT TRUE AND (EXISTS (SELECT FROM {{ table }} AS c WHERE {{ refers_to_old }})
      OR EXISTS (SELECT FROM {{ table }} AS c WHERE {{ refers_to_new }})) THEN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', SCHEMA = {{ other_schema_literal }}, TABLE = {{ other_table_literal }},
      MESSAGE = {{ left }}, HINT = {{ hint }};
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ leave }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_leave }} AFTER UPDATE ON {{ other }}
  FOR EACH ROW WHEN ({{ other_changed }}) EXECUTE FUNCTION {{ leave }}();
