{%- if let Some(c) = condition %}
CREATE FUNCTION {{ c.function }}({{ c.types }}) RETURNS boolean LANGUAGE sql RETURN ({{ c.holds }})::boolean;
COMMENT ON FUNCTION {{ c.function }} IS {{ comment }};
{%- endif %}
{%- if let Some(sequence) = own %}
CREATE FUNCTION {{ next }}() RETURNS {{ type_name }}
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {{ crate::name::BODY }}
BEGIN
  RETURN pg_catalog.nextval({{ sequence }});
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ next }}() IS {{ comment }};
{%- endif %}
CREATE FUNCTION {{ draw }}() RETURNS {{ type_name }}
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  drawn {{ type_name }};
BEGIN
  -- One that a row has got by hand is left out.
  LOOP
    drawn := {{ draws }};
    EXIT WHEN NOT ({{ taken }});
  END LOOP;
  RETURN drawn;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ draw }}() IS {{ comment }};
{%- if let Some(f) = fresh %}
CREATE FUNCTION {{ f.function }}() RETURNS {{ type_name }}
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  drawn {{ type_name }};
BEGIN
  -- Whoever writes through the new shape does not know the keys that the table has.
  LOOP
    drawn := {{ f.draws }};
    EXIT WHEN NOT EXISTS (SELECT FROM {{ table }} AS b WHERE b.{{ f.key }} = drawn);
  END LOOP;
  RETURN drawn;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ f.function }}() IS {{ comment }};
{%- endif %}
CREATE FUNCTION {{ gives }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
DECLARE
  given text := pg_catalog.current_setting({{ setting }}, true);
BEGIN
  -- Whoever writes through the new shape says which number it is to be.
  PERFORM pg_catalog.set_config({{ setting }}, '', true);
{%- if !holds.is_empty() %}
  IF {{ holds }} IS NOT TRUE THEN
    DELETE FROM {{ kept }} AS x WHERE {{ this_row }};
    RETURN NULL;
  END IF;
{%- endif %}
  -- The number of a row of this key that the same statement has deleted.
  IF TG_OP = 'INSERT' THEN DELETE FROM {{ kept }} AS x WHERE {{ this_row }}; END IF;
  IF NOT EXISTS (SELECT FROM {{ kept }} AS x WHERE {{ this_row }}) THEN
    INSERT INTO {{ kept }} ({{ keys }}, refactor_value)
    VALUES ({{ new_keys }}, coalesce(nullif(given, '')::{{ type_name }}, {{ draw }}()));
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ gives }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_insert }} AFTER INSERT ON {{ table }}
  FOR EACH ROW EXECUTE FUNCTION {{ gives }}();
CREATE TRIGGER {{ trigger_update }} AFTER UPDATE ON {{ table }}
  FOR EACH ROW WHEN ({{ changed }}) EXECUTE FUNCTION {{ gives }}();
