CREATE FUNCTION {{ one }}({{ parameters }}) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
#variable_conflict use_column
DECLARE
  v {{ table }};
  is_there boolean;
BEGIN
  IF pg_catalog.current_setting({{ setting }}, true) OPERATOR(pg_catalog.=) {{ crate::generate::floor::EMPTY }} THEN
    RETURN;
  END IF;
  SELECT {{ of_u }} INTO v FROM {{ under }} AS u WHERE {{ u_is_key }};
  is_there := FOUND;
  PERFORM pg_catalog.set_config({{ setting }}, pg_catalog.pg_trigger_depth()::text, true);
  IF is_there THEN
    UPDATE {{ table }} AS t SET ({{ columns }}) = ROW({{ of_v }})
    WHERE {{ t_is_key }} AND pg_catalog.record_image_ne(ROW({{ of_t }}), ROW({{ of_v }}));
    INSERT INTO {{ table }} ({{ columns }})
    SELECT {{ of_v }} WHERE NOT EXISTS (SELECT FROM {{ table }} AS t WHERE {{ t_is_key }});
  ELSE
    DELETE FROM {{ table }} AS t WHERE {{ t_is_key }};
  END IF;
  PERFORM pg_catalog.set_config({{ setting }}, '', true);
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ one }} IS {{ comment }};
CREATE FUNCTION {{ every }}() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
  PERFORM pg_catalog.set_config({{ setting }}, pg_catalog.pg_trigger_depth()::text, true);
  DELETE FROM {{ table }} AS t WHERE NOT EXISTS (SELECT FROM {{ under }} AS u WHERE {{ u_is_t }});
  UPDATE {{ table }} AS t SET ({{ columns }}) = ROW({{ of_u_given }}) FROM {{ under }} AS u
  WHERE {{ u_is_t }} AND pg_catalog.record_image_ne(ROW({{ of_t }}), ROW({{ of_u_given }}));
  INSERT INTO {{ table }} ({{ columns }})
  SELECT {{ of_u_given }} FROM {{ under }} AS u WHERE NOT EXISTS (SELECT FROM {{ table }} AS t WHERE {{ u_is_t }})
  -- Rows that are numbered are so in the order of their key.
  ORDER BY {{ of_u_key }};
  PERFORM pg_catalog.set_config({{ setting }}, '', true);
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ every }} IS {{ comment }};
-- Within a statement rows may be on their way: not all that is told of them is there before its end. So who writes within
-- another statement leaves it to the outermost. A setting counts them, by the command of the client that they belong to.
CREATE FUNCTION {{ begun }}() RETURNS trigger
LANGUAGE plpgsql SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
  PERFORM pg_catalog.set_config({{ writing }}, pg_catalog.format('%s/%s', pg_catalog.date_part('epoch', pg_catalog.statement_timestamp()),
    1 + CASE WHEN pg_catalog.split_part(pg_catalog.current_setting({{ writing }}, true), '/', 1)
      OPERATOR(pg_catalog.=) pg_catalog.date_part('epoch', pg_catalog.statement_timestamp())::text
    THEN pg_catalog.split_part(pg_catalog.current_setting({{ writing }}, true), '/', 2)::int ELSE 0 END), true);
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ begun }} IS {{ comment }};
CREATE FUNCTION {{ up_every }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
DECLARE
  others int := pg_catalog.split_part(pg_catalog.current_setting({{ writing }}, true), '/', 2)::int OPERATOR(pg_catalog.-) 1;
BEGIN
  PERFORM pg_catalog.set_config({{ writing }}, pg_catalog.format('%s/%s',
    pg_catalog.split_part(pg_catalog.current_setting({{ writing }}, true), '/', 1), others), true);
  IF others OPERATOR(pg_catalog.>) 0 THEN
    RETURN NULL;
  END IF;
  IF pg_catalog.current_setting({{ setting }}, true) OPERATOR(pg_catalog.=) {{ crate::generate::floor::EMPTY }} THEN
    RETURN NULL;
  END IF;
  PERFORM {{ every }}();
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ up_every }} IS {{ comment }};
{%- if let Some(row) = row %}
CREATE FUNCTION {{ row.function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
  IF pg_catalog.current_setting({{ setting }}, true) OPERATOR(pg_catalog.=) {{ crate::generate::floor::EMPTY }} THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' AND {{ row.changed }} THEN
    -- What is kept for the row goes with its key.
    PERFORM pg_catalog.set_config({{ setting }}, pg_catalog.pg_trigger_depth()::text, true);
    UPDATE {{ table }} AS t SET ({{ keys }}) = ROW({{ row.of_new }}) WHERE {{ row.t_is_old }};
    PERFORM pg_catalog.set_config({{ setting }}, '', true);
  END IF;
  IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND {{ row.changed }} THEN
    PERFORM {{ one }}({{ row.of_old }});
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM {{ one }}({{ row.of_new }});
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ row.function }} IS {{ comment }};
CREATE TRIGGER {{ row.trigger }} AFTER INSERT OR UPDATE OR DELETE ON {{ base }}
FOR EACH ROW EXECUTE FUNCTION {{ row.function }}();
{%- endif %}
{%- for far in far %}
CREATE FUNCTION {{ far.function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
DECLARE
  k record;
BEGIN
  IF TG_OP <> 'INSERT' THEN
    FOR k IN SELECT DISTINCT {{ far.keys }} FROM {{ base }} AS b JOIN refactor_old AS c ON {{ far.reached }} LOOP
      PERFORM {{ one }}({{ far.of_k }});
    END LOOP;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    FOR k IN SELECT DISTINCT {{ far.keys }} FROM {{ base }} AS b JOIN refactor_new AS c ON {{ far.reached }} LOOP
      PERFORM {{ one }}({{ far.of_k }});
    END LOOP;
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ far.function }} IS {{ comment }};
CREATE TRIGGER {{ far.inserted }} AFTER INSERT ON {{ far.table }}
REFERENCING NEW TABLE AS refactor_new FOR EACH STATEMENT EXECUTE FUNCTION {{ far.function }}();
CREATE TRIGGER {{ far.updated }} AFTER UPDATE ON {{ far.table }}
REFERENCING OLD TABLE AS refactor_old NEW TABLE AS refactor_new FOR EACH STATEMENT EXECUTE FUNCTION {{ far.function }}();
CREATE TRIGGER {{ far.deleted }} AFTER DELETE ON {{ far.table }}
REFERENCING OLD TABLE AS refactor_old FOR EACH STATEMENT EXECUTE FUNCTION {{ far.function }}();
{%- endfor %}
{%- for whole in whole %}
CREATE TRIGGER {{ whole.begun }} BEFORE {{ whole.events }} ON {{ whole.table }}
FOR EACH STATEMENT EXECUTE FUNCTION {{ begun }}();
CREATE TRIGGER {{ whole.trigger }} AFTER {{ whole.events }} ON {{ whole.table }}
FOR EACH STATEMENT EXECUTE FUNCTION {{ up_every }}();
{%- endfor %}
{%- if let Some(draw) = draw %}
CREATE FUNCTION {{ draw.function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
{%- for line in draw.lines %}
  {{ line }}
{%- endfor %}
  RETURN NEW;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ draw.function }} IS {{ comment }};
CREATE TRIGGER {{ draw.trigger }} BEFORE INSERT ON {{ table }} FOR EACH ROW EXECUTE FUNCTION {{ draw.function }}();
{%- endif %}
CREATE FUNCTION {{ down }}() RETURNS trigger
LANGUAGE plpgsql AS {{ crate::name::BODY }}
BEGIN
  -- What comes from below goes no further.
  IF pg_catalog.current_setting({{ setting }}, true) OPERATOR(pg_catalog.=) (pg_catalog.pg_trigger_depth() - 1)::text THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'INSERT' THEN
    INSERT INTO {{ under }} ({{ columns }}) OVERRIDING SYSTEM VALUE VALUES ({{ of_new_given }});
  ELSIF TG_OP = 'UPDATE' THEN
    UPDATE {{ under }} AS u SET ({{ changing }}) = ROW({{ of_new_changing }}) WHERE {{ u_is_old }};
  ELSE
    DELETE FROM {{ under }} AS u WHERE {{ u_is_old }};
  END IF;
  IF NOT FOUND AND TG_OP <> 'INSERT' THEN
    RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001';
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ down }} IS {{ comment }};
CREATE TRIGGER {{ down_trigger }} AFTER INSERT OR UPDATE OR DELETE ON {{ table }}
FOR EACH ROW EXECUTE FUNCTION {{ down }}();
CREATE FUNCTION {{ again }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
  IF pg_catalog.current_setting({{ setting }}, true) OPERATOR(pg_catalog.=) (pg_catalog.pg_trigger_depth() - 1)::text THEN
    RETURN NULL;
  END IF;
  -- The tables have the last word: a trigger of theirs may have stored something else.
  IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND {{ key_changed }} THEN
    PERFORM {{ one }}({{ of_old_key }});
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM {{ one }}({{ of_new_key }});
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ again }} IS {{ comment }};
CREATE TRIGGER {{ again_trigger }} AFTER INSERT OR UPDATE OR DELETE ON {{ table }}
FOR EACH ROW EXECUTE FUNCTION {{ again }}();
