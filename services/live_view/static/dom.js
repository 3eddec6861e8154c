/** Building elements. */

/** @param {string} tag  @param {object} [properties]  @param {...(Node|string)} children  strings become text */
export function create(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
