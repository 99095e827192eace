import { useEffect, useMemo, useState } from 'react';
import { Button, Textarea, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { api, ApiError } from '../api/client';
import { client, usePolicies, useStatus } from '../api/queries';
import type { PolicyPlan } from '../api/types';
import { Fail } from '../parts/bits';
import { Preview } from '../parts/Preview';

// What people change most stands first.
const first = ['Target', 'Override', 'Calendar', 'Tenant', 'Site', 'Tariff'];
const rank = (kind: string) => (first.indexOf(kind) + first.length + 1) % (first.length + 1);

const fresh = 'kind: Target\nname: ai-share\nmeasure: devices\nof: owned\nuse: training\nmin: 20%\n';

/** Policies edits one document at a time; a preview shows what it would do before it is applied. */
export function Policies() {
  const search = useSearch({ from: '/policies' });
  const navigate = useNavigate();
  const status = useStatus();
  const list = usePolicies();
  const docs = useMemo(() => [...(list.data?.policies ?? [])].sort((a, b) => rank(a.kind) - rank(b.kind) || (a.kind + '/' + a.name < b.kind + '/' + b.name ? -1 : 1)), [list.data]);
  const chosen = search.doc ?? (docs[0] ? `${docs[0].kind}/${docs[0].name}` : 'new');
  const doc = docs.find((d) => `${d.kind}/${d.name}` === chosen);
  const pick = (key: string) => void navigate({ to: '/policies', search: { doc: key } });
  if (list.error && !list.data) return <div className="main"><Fail error={list.error} /></div>;
  if (!list.data || !status.data) return <div className="main"><p className="mut" role="status">Asking the server…</p></div>;
  const kinds = [...new Set(docs.map((d) => d.kind))];
  return (
    <div className="main">
      <div className="hd">
        <h1>Policies</h1><span className="badge">revision {list.data.revision}</span>
        {!status.data.config_state.startsWith('ok') ? <span className="badge warn">cannot be written: {status.data.config_state}</span> : null}
      </div>
      {list.data.invalid?.length ? <div style={{ marginBottom: 14 }} className="failure"><b>In the store, but not usable:</b>{list.data.invalid.map((t) => <div key={t}>{t}</div>)}</div> : null}
      <div className="editor">
        <nav className="card doclist" aria-label="Documents" style={{ paddingBottom: 8 }}>
          {kinds.map((k) => (
            <div key={k}>
              <h2 className="sub">{k}</h2>
              {docs.filter((d) => d.kind === k).map((d) => {
                const key = `${k}/${d.name}`;
                return <button type="button" key={key} aria-current={chosen === key} onClick={() => pick(key)}>{d.name}</button>;
              })}
            </div>
          ))}
          <button type="button" aria-current={!doc} onClick={() => pick('new')}>New document…</button>
        </nav>
        <Editor key={chosen} name={chosen} yaml={doc?.yaml ?? fresh} stored={doc?.yaml ?? ''} currency={status.data.currency} onDone={pick} />
      </div>
    </div>
  );
}

interface Shown { plan?: PolicyPlan; error?: unknown; text: string; at: number; remove: boolean }

function Editor({ name, yaml, stored, currency, onDone }: { name: string; yaml: string; stored: string; currency: string; onDone: (key: string) => void }) {
  const [text, setText] = useState(yaml);
  const [from, setFrom] = useState(yaml); // the stored text this draft was made from
  const [follow, setFollow] = useState(false); // just applied: the store spells it in its own way
  const [remove, setRemove] = useState(false);
  const [comment, setComment] = useState('');
  const [shown, show] = useState<Shown | null>(null);
  const [again, setAgain] = useState(0);
  const file = name === 'new' ? 'new.yaml' : name.replace('/', '-').toLowerCase() + '.yaml';
  const changed = text !== stored || remove;
  const moved = name !== 'new' && stored !== '' && stored !== from;
  const theirs = moved && text !== stored && text !== from && !follow;
  // Somebody else's change is taken over where nothing was typed, and never undone in silence.
  useEffect(() => {
    if (!moved) return;
    if (text === from || follow) setText(stored);
    if (text === from || text === stored || follow) setFrom(stored);
    setFollow(false);
  }, [moved, stored, from, text, follow]);
  useEffect(() => {
    if (!changed) {
      show(null);
      return;
    }
    let off = false;
    const t = setTimeout(() => {
      api.planPolicy(remove ? '' : text, file, remove ? [name] : [])
        .then((plan) => { if (!off) show({ plan, text, at: Date.now(), remove }); })
        .catch((error: unknown) => { if (!off) show({ error, text, at: Date.now(), remove }); });
    }, 300);
    return () => {
      off = true;
      clearTimeout(t);
    };
  }, [text, remove, changed, again, name, file]);
  const apply = useMutation({
    mutationFn: () => api.applyPolicy(remove ? '' : text, file, remove ? [name] : [], shown?.plan?.check_index ?? 0, comment),
    onSuccess: (r) => {
      setComment('');
      setFollow(true);
      void client.invalidateQueries();
      const c = r.changes[0];
      if (c) onDone(c.what === 'removed' ? 'new' : `${c.kind}/${c.name}`);
    },
  });
  const fits = shown?.plan && shown.text === text && shown.remove === remove;
  const conflict = apply.error instanceof ApiError && apply.error.status === 409;
  const edit = (v: string) => {
    setText(v);
    setFollow(false);
    apply.reset();
  };
  return (
    <>
      <section className="card" aria-label="Document">
        <header>
          <h2>{name === 'new' ? 'New document' : name}</h2>
          {changed ? <span className="badge warn">draft</span> : null}
          <span className="grow" />
          {changed ? <Button onClick={() => { edit(stored || yaml); setRemove(false); }}>Discard</Button> : null}
          {stored && !remove ? <Button onClick={() => { setRemove(true); apply.reset(); }}>Remove…</Button> : null}
        </header>
        <div className="pad stackv">
          <Textarea aria-label="Document as YAML" value={text} disabled={remove} onChange={(e) => edit(e.currentTarget.value)} autosize minRows={16} maxRows={36} spellCheck={false} />
          <TextInput label="Comment" description="kept with the change" value={comment} onChange={(e) => setComment(e.currentTarget.value)} />
          {theirs ? (
            <div className="failure" role="alert">
              The stored document changed while you were writing. It now reads:
              <pre className="yaml">{stored || '(removed)'}</pre>
              <div style={{ display: 'flex', gap: 8 }}><Button onClick={() => { edit(stored); setFrom(stored); }}>Take theirs</Button><Button onClick={() => setFrom(stored)}>Keep mine</Button></div>
            </div>
          ) : null}
          {apply.error ? <Fail error={apply.error} /> : null}
          {apply.data ? <p role="status">Applied as revision {apply.data.revision}.</p> : null}
          <div style={{ display: 'flex', gap: 8, justifyContent: 'end' }}>
            {conflict ? <Button onClick={() => { apply.reset(); void client.invalidateQueries({ queryKey: ['policies'] }); setAgain(again + 1); }}>Preview again</Button> : null}
            <Button variant="filled" disabled={!fits || !changed || theirs} loading={apply.isPending} onClick={() => apply.mutate()}>{remove ? 'Remove the document' : 'Apply'}</Button>
          </div>
          <p className="xs mut">The same by hand: sluice policy apply -f {file}{shown?.plan ? ` --check-index ${shown.plan.check_index}` : ''}</p>
        </div>
      </section>
      <Preview plan={shown?.plan} error={shown?.error} at={shown?.at ?? 0} stale={Boolean(shown) && !(shown?.text === text && shown.remove === remove)} currency={currency} changed={changed} />
    </>
  );
}
