// Sends the result to `codax mushra serve`, which sets the address in the page. Elsewhere there is none.

class Outbox {
  constructor() {
    this.address = document.querySelector('meta[name=results]').content;
    this.last = Promise.resolve();
  }

  get open() {
    return this.address !== '';
  }

  // One after the other, so that an earlier result never comes after a later one.
  send(result) {
    if (!this.open) return Promise.resolve();
    this.last = this.last.catch(() => {}).then(() => this.post(JSON.stringify(result)));
    return this.last;
  }

  async post(body) {
    let answer;
    try {
      answer = await fetch(this.address, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
    } catch {
      throw new Error('The server does not answer.');
    }
    if (!answer.ok) throw new Error(`The server refused the result: ${(await answer.text()).trim()}`);
  }

  // Says whether the result arrived; `otherwise` is shown if it did not.
  view(result, otherwise) {
    const line = make('p', { id: 'sent', role: 'status' }), node = make('div', {}, line);
    const again = make('button', { type: 'button', id: 'again', class: 'main', onclick: () => attempt() }, 'Send again');
    const attempt = async () => {
      line.textContent = 'Sending the result …';
      node.replaceChildren(line);
      try {
        await this.send(result);
        line.textContent = 'Your result has arrived. You may close the page.';
      } catch (error) {
        line.textContent = error.message;
        node.replaceChildren(line, make('p', { class: 'actions' }, again), otherwise);
      }
    };
    attempt();
    return node;
  }
}
