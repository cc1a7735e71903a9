import { createRouter, createWebHashHistory, type Router } from 'vue-router'
import RunsView from './views/RunsView.vue'
import SweepView from './views/SweepView.vue'

/** The pages in the order of the navigation; `key` with Alt goes there. */
export const PAGES = [
  { path: '/sweep', title: 'Sweep', icon: 'sweep', key: '1' },
  { path: '/runs', title: 'Runs', icon: 'runs', key: '2' },
  { path: '/models', title: 'Models', icon: 'model', key: '3' },
  { path: '/datasets', title: 'Datasets', icon: 'text', key: '4' },
  { path: '/inspect', title: 'Inspect', icon: 'inspect', key: '5' },
  { path: '/methods', title: 'Methods', icon: 'method', key: '6' },
  { path: '/settings', title: 'Settings', icon: 'settings', key: '7' },
] as const

/** The router of the page; made after the address was relieved of its token. */
export function createLabRouter(): Router {
  const router = createRouter({
    history: createWebHashHistory(),
    routes: [
      { path: '/', redirect: '/sweep' },
      { path: '/sweep', component: SweepView, meta: { title: 'Sweep' } },
      { path: '/runs', component: RunsView, meta: { title: 'Runs' } },
      { path: '/runs/:id', component: () => import('./views/RunView.vue'), props: true, meta: { title: 'Run' } },
      { path: '/compare', component: () => import('./views/CompareView.vue'), meta: { title: 'Compare' } },
      { path: '/models', component: () => import('./views/ModelsView.vue'), meta: { title: 'Models' } },
      { path: '/datasets', component: () => import('./views/DatasetsView.vue'), meta: { title: 'Datasets' } },
      { path: '/inspect', component: () => import('./views/InspectView.vue'), meta: { title: 'Inspect' } },
      { path: '/methods', component: () => import('./views/MethodsView.vue'), meta: { title: 'Methods' } },
      { path: '/settings', component: () => import('./views/SettingsView.vue'), meta: { title: 'Settings' } },
      { path: '/:rest(.*)*', component: () => import('./views/NotFoundView.vue'), meta: { title: 'Not found' } },
    ],
  })

  router.afterEach((to) => {
    document.title = `${typeof to.meta.title === 'string' ? `${to.meta.title} · ` : ''}KV Lab`
  })
  return router
}
