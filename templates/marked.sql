CREATE FUNCTION {{ mark }}() RETURNS {{ type_name }} LANGUAGE sql RETURN ({{ value }})::{{ type_name }};
COMMENT ON FUNCTION {{ mark }}() IS {{ comment }};
CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
DECLARE
  kept record;
BEGIN
  -- What new code deletes goes, and what it marks is there already.
  IF pg_catalog.current_setting({{ setting }}, true) = '1' THEN RETURN NULL; END IF;
  PERFORM pg_catalog.set_config({{ setting }}, '1', true);
  INSERT INTO {{ marked }} AS b ({{ columns }}) VALUES ({{ values }}) RETURNING ({{ is_marked }}) AS marked INTO kept;
  PERFORM pg_catalog.set_config({{ setting }}, '', true);
  IF kept.marked IS NOT TRUE THEN
    {{ no_mark }}
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger }} AFTER DELETE ON {{ table }}
  FOR EACH ROW EXECUTE FUNCTION {{ function }}();
{%- for c in cascades %}
CREATE FUNCTION {{ c.function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
  -- Before the foreign key does: what goes with the row that it refers to is not marked.
  PERFORM pg_catalog.set_config({{ setting }}, '1', true);
  DELETE FROM {{ table }} AS b WHERE {{ c.refers }};
  PERFORM pg_catalog.set_config({{ setting }}, '', true);
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ c.function }}() IS {{ comment }};
CREATE TRIGGER {{ c.trigger }} AFTER DELETE ON {{ c.far }}
  FOR EACH ROW EXECUTE FUNCTION {{ c.function }}();
{%- endfor %}
