CREATE TABLE customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  full_name text NOT NULL,
  email text,
  state text NOT NULL DEFAULT 'active',
  password_hash text NOT NULL
);
