import { createApp } from 'vue'
import App from './App.vue'
import { connect } from './client.ts'
import { createLabRouter } from './router.ts'
import { followTheme } from './composables/theme.ts'

// Before the router looks at the address: it may carry the token.
connect()
followTheme()
createApp(App).use(createLabRouter()).mount('#app')
