CREATE TABLE invoice_recipients (
  customer_id bigint PRIMARY KEY,
  name text NOT NULL,
  email text
);
