{%- for f in generated %}
  IF TG_OP = 'INSERT' AND NEW.{{ f }} IS DISTINCT FROM NULL THEN
    RAISE EXCEPTION 'cannot insert a non-DEFAULT value into column "%"', {{ f.literal }} USING ERRCODE = '428C9',
      DETAIL = {{ f.detail }}{% if let Some(hint) = f.hint %}, HINT = {{ hint }}{% endif %};
  ELSIF TG_OP = 'UPDATE' AND pg_catalog.record_image_ne(ROW(NEW.{{ f }}), ROW(OLD.{{ f }})) THEN
    RAISE EXCEPTION 'column "%" can only be updated to DEFAULT', {{ f.literal }} USING ERRCODE = '428C9',
      DETAIL = {{ f.detail }};
  END IF;
{%- endfor %}
