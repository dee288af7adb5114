// The first page: what the test is, the listener's number, and the questions that the builder of the test set.

function consentForm(content, sends, done) {
  const asked = new URLSearchParams(location.search).get('listener') || '';
  const number = make('input', { type: 'number', id: 'listener', min: '1', max: String(Math.max(content.listeners, 1)), required: true, value: asked, inputmode: 'numeric' });
  const inputs = content.questions.map(inputOf);
  const form = make('form', {},
    make('p', {}, content.kind === 'abx'
      ? 'You will hear short excerpts three times: A, B and X. X equals either A or B; say which.'
      : 'You will hear short excerpts in several versions and rate how each compares with the reference, from bad to excellent. One of the versions is the reference itself.'),
    make('p', {}, `Use headphones in a quiet room. You may stop at any time by closing the page. Your ratings, answers, comments and the kind of your browser and sound output are stored in this browser, and ${sends
      ? 'are sent to the server of this page after every trial.' : 'go nowhere until you hand over the result file at the end.'}`),
    make('p', {}, make('label', { for: 'listener' }, 'Your listener number'), number),
    ...content.questions.map((question, i) => make('p', {}, make('label', { for: `q-${question.id}` }, question.question + (question.optional ? ' (may be left empty)' : '')), inputs[i])),
    make('p', {}, make('label', { class: 'check' }, make('input', { type: 'checkbox', id: 'agree', required: true }), ' I take part of my own will and agree to this use of my answers.')),
    make('p', { class: 'actions' }, make('button', { class: 'main', id: 'next' }, 'Begin')));
  form.addEventListener('submit', event => {
    event.preventDefault();
    done(Number(number.value), Object.fromEntries(content.questions.map((question, i) => [question.id, inputs[i].value])));
  });
  return form;
}

function inputOf({ id, kind, choices, optional }) {
  const attributes = { id: `q-${id}`, required: !optional };
  if (!choices) return make('input', { ...attributes, type: kind, ...(kind === 'number' ? { step: 'any' } : { maxlength: '500' }) });
  return make('select', attributes, make('option', { value: '' }, 'Please choose'), ...choices.map(value => make('option', { value }, value)));
}
