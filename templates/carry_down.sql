CREATE FUNCTION {{ get }}({% for k in keys %}{{ k.arg }} {{ k.type_name }}, {% endfor %}OUT value {{ type_name }})
LANGUAGE plpgsql VOLATILE{{ rights }} SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  -- A value that is a row itself is taken apart by INTO, unless it is a field of one.
  found_there record;
BEGIN
  SELECT x.{{ value }} AS v INTO found_there FROM {{ complement }} AS x WHERE {{ complement_row }};
  IF NOT FOUND THEN
    SELECT s.{{ column }} AS v INTO found_there FROM {{ target_to_source }} WHERE {{ target_row }};
  END IF;
  value := found_there.v;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ get }} IS {{ comment }};

CREATE FUNCTION {{ set }}({% for k in keys %}{{ k.arg }} {{ k.type_name }}, {% endfor %}value {{ type_name }}) RETURNS void
LANGUAGE plpgsql VOLATILE{{ rights }} SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  home record;
BEGIN
  SELECT s.{{ column }} AS value, {{ source_key_list }} INTO home FROM {{ target_to_source }} WHERE {{ target_row }} FOR UPDATE OF s;
  IF NOT FOUND THEN
    INSERT INTO {{ complement }} AS x ({% for k in keys %}{{ k.complement }}, {% endfor %}{{ value }})
    VALUES ({% for k in keys %}{{ k.arg }}, {% endfor %}value)
    ON CONFLICT ({{ complement_keys }}) DO UPDATE SET {{ value }} = excluded.{{ value }};
    RETURN;
  END IF;
  IF pg_catalog.record_image_eq(ROW(home.value), ROW(value)) THEN
    DELETE FROM {{ complement }} AS x WHERE {{ complement_row }};
  ELSIF NOT EXISTS (
    SELECT FROM {{ target_to_source }} LEFT JOIN {{ complement }} AS x ON {{ complement_joined }}
    WHERE {{ source_is_home }} AND NOT ({{ target_row }})
      AND pg_catalog.record_image_ne(ROW(CASE WHEN x.{{ first_complement_key }} IS NULL THEN s.{{ column }} ELSE x.{{ value }} END), ROW(value))) THEN
    -- The only row, or all others say the same already: the value can live where old code looks.
    PERFORM pg_catalog.set_config('{{ quiet_setting }}', '1', true);
    UPDATE {{ source }} AS s SET {{ column }} = value WHERE {{ source_is_home }};
    PERFORM pg_catalog.set_config('{{ quiet_setting }}', '', true);
    DELETE FROM {{ complement }} AS x USING {{ target_to_source }} WHERE {{ source_is_home }} AND {{ complement_joined }};
  ELSE
    INSERT INTO {{ complement }} AS x ({% for k in keys %}{{ k.complement }}, {% endfor %}{{ value }})
    VALUES ({% for k in keys %}{{ k.arg }}, {% endfor %}value)
    ON CONFLICT ({{ complement_keys }}) DO UPDATE SET {{ value }} = excluded.{{ value }};
  END IF;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ set }} IS {{ comment }};

CREATE FUNCTION {{ via }}() RETURNS {{ type_name }}
LANGUAGE plpgsql VOLATILE AS {{ crate::name::BODY }}
BEGIN
  RETURN {{ fill }};
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ via }}() IS {{ comment }};

CREATE FUNCTION {{ source_written }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
BEGIN
  -- Old code wrote the value: it holds for every row below.
  IF coalesce(pg_catalog.current_setting('{{ quiet_setting }}', true), '') <> '1' THEN
    DELETE FROM {{ complement }} AS x USING {{ target_to_source }} WHERE {{ source_is_new }} AND {{ complement_joined }};
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ source_written }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_updated }} AFTER UPDATE ON {{ source }}
  FOR EACH ROW WHEN (pg_catalog.record_image_ne(ROW(OLD.{{ column }}), ROW(NEW.{{ column }}))) EXECUTE FUNCTION {{ source_written }}();

CREATE FUNCTION {{ source_deleted }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
BEGIN
  -- The rows below outlive it (ON DELETE SET NULL): they keep the value.
  INSERT INTO {{ complement }} ({% for k in keys %}{{ k.complement }}, {% endfor %}{{ value }})
  SELECT {{ target_key_list }}, OLD.{{ column }} FROM {{ target_to_source }} WHERE {{ source_is_old }}
  FOR KEY SHARE OF b
  ON CONFLICT ({{ complement_keys }}) DO NOTHING;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ source_deleted }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_delete }} BEFORE DELETE ON {{ source }}
  FOR EACH ROW EXECUTE FUNCTION {{ source_deleted }}();
{%- if left_behind %}
CREATE TRIGGER {{ trigger_left }} BEFORE UPDATE ON {{ source }}
  FOR EACH ROW WHEN ({{ source_key_changed }}) EXECUTE FUNCTION {{ source_deleted }}();
{%- endif %}
{%- if let Some(emptied) = emptied %}

CREATE FUNCTION {{ emptied.function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
  -- No foreign key has the rows below go, too.
  INSERT INTO {{ complement }} ({% for k in keys %}{{ k.complement }}, {% endfor %}{{ value }})
  SELECT {{ target_key_list }}, s.{{ column }} FROM {{ target_to_source }}
  ON CONFLICT ({{ complement_keys }}) DO NOTHING;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ emptied.function }}() IS {{ comment }};
CREATE TRIGGER {{ emptied.trigger }} BEFORE TRUNCATE ON {{ source }}
  FOR EACH STATEMENT EXECUTE FUNCTION {{ emptied.function }}();
{%- endif %}

CREATE FUNCTION {{ target_moved }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  kept record;
BEGIN
  IF coalesce(pg_catalog.current_setting('{{ quiet_setting }}', true), '') = '1' THEN RETURN NULL; END IF;
  -- Its one was renumbered or deleted, and a foreign key action brought us here: nothing changes for this row.
  IF NOT EXISTS (SELECT FROM {{ next_table }} AS n WHERE {{ next_is_old }}) THEN RETURN NULL; END IF;
  IF {{ new_key_null }} THEN
    -- Old code let it go: it keeps what it had.
    SELECT s.{{ column }} AS value INTO kept FROM {{ next_to_source }} WHERE {{ nearest_is_old }};
    IF FOUND THEN
      INSERT INTO {{ complement }} ({% for k in keys %}{{ k.complement }}, {% endfor %}{{ value }})
      VALUES ({% for k in keys %}NEW.{{ k.target }}, {% endfor %}kept.value)
      ON CONFLICT ({{ complement_keys }}) DO NOTHING;
    END IF;
  ELSE
    -- Old code gave it to another: it takes the value found there.
    DELETE FROM {{ complement }} AS x WHERE {{ complement_is_new }};
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ target_moved }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_moved }} AFTER UPDATE ON {{ target }}
  FOR EACH ROW WHEN ({{ target_key_changed }}) EXECUTE FUNCTION {{ target_moved }}();
{% for hop in middle %}
CREATE FUNCTION {{ hop.function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
BEGIN
  -- A row between the two tables goes or leads elsewhere: the rows below keep what they have.
  IF TG_OP = 'DELETE' OR NOT ({{ hop.renumbered }}) THEN
    INSERT INTO {{ complement }} ({% for k in keys %}{{ k.complement }}, {% endfor %}{{ value }})
    SELECT {{ target_key_list }}, s.{{ column }} FROM {{ target_left_source }} WHERE {{ hop.is_old }}
    FOR KEY SHARE OF b
    ON CONFLICT ({{ complement_keys }}) DO NOTHING;
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ hop.function }}() IS {{ comment }};
CREATE TRIGGER {{ hop.trigger_update }} BEFORE UPDATE ON {{ hop.table }}
  FOR EACH ROW WHEN ({{ hop.key_changed }}) EXECUTE FUNCTION {{ hop.function }}();
CREATE TRIGGER {{ hop.trigger_delete }} BEFORE DELETE ON {{ hop.table }}
  FOR EACH ROW EXECUTE FUNCTION {{ hop.function }}();
{% endfor %}
{%- for late in late %}
CREATE FUNCTION {{ late.function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  kept record;
BEGIN
  -- It comes after rows that were to refer to it. What it has because nobody said anything is not for them;
  -- and if they all say the same, it is what old code finds here.
  INSERT INTO {{ complement }} ({% for k in keys %}{{ k.complement }}, {% endfor %}{{ value }})
  SELECT {{ target_key_list }}, NULL FROM {{ target_to_source }}
  WHERE {{ late.is_new }} AND s.{{ column }} IS DISTINCT FROM NULL AND pg_catalog.record_image_eq(ROW(s.{{ column }}), ROW({{ via }}()))
  ON CONFLICT ({{ complement_keys }}) DO NOTHING;
  SELECT {{ target_key_named }}, x.{{ value }} AS value INTO kept
  FROM {{ target_to_source }} JOIN {{ complement }} AS x ON {{ complement_joined }}
  WHERE {{ late.is_new }} AND x.{{ value }} IS DISTINCT FROM NULL AND pg_catalog.record_image_eq(ROW(s.{{ column }}), ROW({{ via }}())) LIMIT 1;
  IF FOUND THEN
    PERFORM {{ set }}({% for k in keys %}kept.{{ k.arg }}, {% endfor %}kept.value);
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ late.function }}() IS {{ comment }};
CREATE TRIGGER {{ late.trigger_insert }} AFTER INSERT ON {{ late.table }}
  FOR EACH ROW EXECUTE FUNCTION {{ late.function }}();
CREATE TRIGGER {{ late.trigger_update }} AFTER UPDATE ON {{ late.table }}
  FOR EACH ROW WHEN ({{ late.key_changed }}) EXECUTE FUNCTION {{ late.function }}();
{% endfor %}
