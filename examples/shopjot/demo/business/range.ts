import { type Chance, pick, remove, type Write, write } from "./write.ts";

/** A product as the shop knows it. */
export interface Product {
  sku: string;
  readonly title: string;
  readonly price: string;
  listed: boolean;
}

/** How many products there are names for. */
export const GOODS = [
  "Desk lamp",
  "Notebook",
  "Fountain pen",
  "Bookend",
  "Wall clock",
  "Tea pot",
  "Rug",
  "Kettle",
];
const CATEGORIES = ["Home", "Office"];

/** What the shop team does: products and their categories. */
export class Range {
  readonly products: Product[] = [];
  readonly #chance: Chance;
  #lastProduct = 0;
  #renamed = 0;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  /** The shop has categories. */
  openShop(): Write {
    return write("shop", "The shop opens with two categories", "INSERT categories", [
      `INSERT INTO categories (id, name) VALUES (1, $1), (2, $2)`,
      ...CATEGORIES,
    ]);
  }

  /** A new product, listed. */
  addProduct(): Write {
    const number = ++this.#lastProduct;
    const title = GOODS[(number - 1) % GOODS.length] as string;
    const product = {
      sku: `${title.split(" ")[0]?.toUpperCase()}-${number}`,
      title,
      price: (5 + this.#chance.random() * 90).toFixed(2),
      listed: true,
    };
    this.products.push(product);
    return write("shop", `${title} is for sale at ${product.price}`, "INSERT products", [
      `INSERT INTO products (sku, category_id, title, price, purchase_price, tags, attributes, weight_kg, released_on,
                             thumbnail, listed)
       VALUES ($1, $2, $3, $4, $4::numeric / 2, $5, $6, $7, '2026-01-15', $8, true)`,
      product.sku,
      1 + (number % 2),
      title,
      product.price,
      number % 2 === 0 ? ["new", "gift"] : [],
      JSON.stringify({ colour: pick(this.#chance, ["black", "red", "white"]), box: { cm: [10, 20, 5] } }),
      number % 3 === 0 ? null : number / 4,
      Buffer.from([0x89, 0x50, 0x4e, 0x47, number]),
    ]);
  }

  /** A change of one column. */
  setPrice(product: Product): Write {
    const price = (5 + this.#chance.random() * 90).toFixed(2);
    return write("shop", `${product.title} now costs ${price}`, "UPDATE products", [
      `UPDATE products SET price = $2 WHERE sku = $1`,
      product.sku,
      price,
    ]);
  }

  /** A product enters or leaves the public schema. */
  setListed(product: Product): Write {
    product.listed = !product.listed;
    const title = product.listed
      ? `${product.title} is listed again`
      : `${product.title} is sold out, no longer listed`;
    return write("shop", title, "UPDATE products", [
      `UPDATE products SET listed = $2 WHERE sku = $1`,
      product.sku,
      product.listed,
    ]);
  }

  /** The key itself changes. */
  correctSku(product: Product): Write {
    const before = product.sku;
    product.sku = `${before}-A`;
    return write("shop", `${before} is corrected to ${product.sku}`, "UPDATE products (key)", [
      `UPDATE products SET sku = $2 WHERE sku = $1`,
      before,
      product.sku,
    ]);
  }

  /** A delete. */
  dropProduct(product: Product): Write {
    remove(this.products, product);
    return write("shop", `${product.title} is taken out of the range`, "DELETE products", [
      `DELETE FROM products WHERE sku = $1`,
      product.sku,
    ]);
  }

  /** One change, an event for each product of the category. */
  renameCategory(): Write {
    const name = `${CATEGORIES[0]} ${2026 + ++this.#renamed}`;
    return write(
      "shop",
      `A category is now called ${name}: all its products are published`,
      "UPDATE categories",
      [`UPDATE categories SET name = $1 WHERE id = 1`, name],
    );
  }
}
